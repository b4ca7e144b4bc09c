"""``python -m pyspiga_geo`` is the command ``pyspiga-geo``."""

from pyspiga_geo.cli import main

if __name__ == "__main__":
    main()
