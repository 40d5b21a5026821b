"""Files of the past become batches of activities, each batch once."""
