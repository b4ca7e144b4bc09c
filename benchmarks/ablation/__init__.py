"""Does attention help? The study behind ``examples/compare_gcn_gat.py`` and the page of the documentation.

``cells`` lists the cascades that are compared, ``cascades`` builds them, ``features`` computes once what the frozen
backbone sees, ``train`` trains and measures one cascade and ``jobs`` all of them, ``results`` are the files they leave;
``table``, with ``difference``, and ``figures`` show what came out.
"""
