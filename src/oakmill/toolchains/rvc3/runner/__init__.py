"""The RVC3 tools' side: runs in their own interpreters, Python 3.8 and later."""
