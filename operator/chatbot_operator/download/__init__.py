"""`chatbot-download`: brings one model file onto a volume, whole and verified, or says why not.

Runs in the operator's Job and by hand. It touches no cluster, and it is the only code that deletes model files.
"""
