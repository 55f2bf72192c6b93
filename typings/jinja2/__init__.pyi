class TemplateError(Exception):
    message: str | None

class TemplateSyntaxError(TemplateError):
    lineno: int
