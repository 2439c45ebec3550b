"""What a processor is (`profile`), is asked (`attempt`) and says (`verdict`, `event`, `raw`)."""
