"""What a shell offers when TAB is pressed, in a fraction of a second: no verb is imported for it, only their table."""
