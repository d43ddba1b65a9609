"""The subset of MONAI Label's REST that its clients need to annotate patches here."""
