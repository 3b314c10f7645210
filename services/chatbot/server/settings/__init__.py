"""Environment -> typed settings: a file per group, `whole` has them all."""
