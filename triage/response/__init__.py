"""Decision to OutboundMessage. Pure: templates come in as text."""
