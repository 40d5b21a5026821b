"""The world becomes `activity`: readers and pollers, the topics, and the vocabulary that everything downstream uses."""
