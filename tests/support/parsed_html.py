"""A page, parsed: it fails where an element is not closed."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"meta", "link", "input", "rect", "br"}


class Parsed(HTMLParser):
    """The elements of a page, with their attributes and their text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self._open, self.wrong = [], [], []
        self.feed(text)
        self.close()
        assert not self.wrong
        assert not self._open

    def handle_starttag(self, tag, attrs):
        if tag == "wbr":
            return
        self.handle_data(" ")
        element = [tag, dict(attrs), ""]
        self.elements.append(element)
        if tag not in VOID and not self.get_starttag_text().endswith("/>"):
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if not self._open or self._open[-1][0] != tag:
            self.wrong.append((tag, self.getpos()))
        else:
            self._open.pop()
            self.handle_data(" ")

    def handle_data(self, data):
        for element in self._open:
            element[2] += data

    def all(self, tag, **attributes):
        return [
            (attrs, " ".join(text.split()))
            for name, attrs, text in self.elements
            if name == tag
            and all(value in (attrs.get(key.strip("_")) or "").split() for key, value in attributes.items())
        ]
