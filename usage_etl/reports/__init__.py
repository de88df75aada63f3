"""Reports: marts in, one typed model out, and its forms: PDF, browser page, mail, text, finance files.

``executive.build_executive`` makes the model; ``html``, ``pdf``, ``email`` and ``plain_text`` print it and compute nothing.
"""
