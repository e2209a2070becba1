"""Files that you copy unchanged into an app of your own, the whole folder at once."""
