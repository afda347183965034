"""The retired blobconverter's HTTP: one request takes a model and answers with its blob."""
