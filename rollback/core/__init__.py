"""What everything stands on: errors, canonical form, clocks, text from outside, files, processes."""
