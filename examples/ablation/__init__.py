"""The parts of ``compare_gcn_gat.py``: cells, cached features, training, table, figures."""
