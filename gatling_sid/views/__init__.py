"""Other forms of a trace, for encoders, chat trainers and readers; they are computed from it and not stored."""

from gatling_sid.views.encoder import to_encoder_row
from gatling_sid.views.messages import to_messages
from gatling_sid.views.text import to_text

__all__ = ["to_encoder_row", "to_messages", "to_text"]
