"""Protection: who may be a trafficking victim is never handed to anybody as a suspect."""
