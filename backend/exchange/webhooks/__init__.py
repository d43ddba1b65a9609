"""Webhooks: other programs are told what happened here, signed, and again until they answer."""
