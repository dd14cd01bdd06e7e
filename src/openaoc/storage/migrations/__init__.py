"""The chain of migrations, one file per stage and change, applied by storage/migrate.py."""
