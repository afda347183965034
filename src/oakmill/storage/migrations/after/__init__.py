"""Steps that remove or tighten, a release after the last code that needed things to be as they were."""
