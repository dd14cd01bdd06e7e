"""Exchange, files: released objects as signed files, for partners who have no other way."""
