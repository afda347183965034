"""RVC4, all of its stages: Qualcomm QCS8550, by QAIRT."""
