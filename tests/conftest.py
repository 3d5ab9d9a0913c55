"""What holds for every test."""

from hypothesis import settings

settings.register_profile("counts alone", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("counts alone")
