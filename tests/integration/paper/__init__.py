"""A third VMM, whole: what is known of it, its driver, and a stand-in for its program.

Nothing outside this folder knows it. ``site`` is put on the path of every process, where Python
imports its sitecustomize: that is the two lines of registration.
"""
