from fpdf import FPDF


def invoice_pdf(invoice) -> bytes:
    pdf = FPDF()
    pdf.set_title(f"Invoice {invoice.number}")
    pdf.set_creation_date(invoice.created_at)
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 20)
    pdf.cell(text=f"Invoice {invoice.number}", new_x="LMARGIN", new_y="NEXT", h=14)
    pdf.set_font("Helvetica", size=11)
    pdf.multi_cell(
        w=0,
        text=printable(f"{invoice.customer_name}\n{invoice.customer_address}"),
        new_x="LMARGIN",
        new_y="NEXT",
    )
    pdf.ln(8)
    with pdf.table(col_widths=(6, 1, 2, 2), text_align=("LEFT", "RIGHT", "RIGHT", "RIGHT")) as table:
        table.row(("Description", "Qty", "Unit price", "Amount"))
        for line in invoice.lines.all():
            table.row((printable(line.description), str(line.quantity), f"{line.unit_price:.2f}", f"{line.amount:.2f}"))
        table.row(("Total, EUR", "", "", f"{invoice.total:.2f}"))
    return bytes(pdf.output())


def printable(text: str) -> str:
    """The text with what the PDF's built-in fonts can't show replaced by "?": they know Latin-1 alone."""
    return text.encode("latin-1", "replace").decode("latin-1")
