"""An error of the models that people read: a stable code, and a text that says what to do."""


class CodedError(ValueError):
    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """Let it cross from a process to another, as from a study's trainings."""
        return type(self), (self.code, str(self))
