"""Settings -> who may: what administrators of keys work with, beside the key check that `stores` opens."""
