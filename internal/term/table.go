package term

import (
	"io"
	"strings"
)

const gap = "  " // between columns

// Table collects rows and writes them in aligned columns, two spaces apart,
// without trailing spaces. The zero value has no header.
type Table struct {
	header []string
	rows   [][]string
	right  map[int]bool
}

// NewTable returns a table whose first line is header.
func NewTable(header ...string) *Table {
	t := &Table{}
	t.header = clean(header)
	return t
}

// Right aligns columns, counted from 0, to the right: numbers.
func (t *Table) Right(cols ...int) *Table {
	if t.right == nil {
		t.right = map[int]bool{}
	}
	for _, c := range cols {
		t.right[c] = true
	}
	return t
}

// Row adds a row. Cells are cleaned; an empty cell is shown as "-", so that
// every line has the same number of fields. Rows may have fewer or more cells
// than the header.
func (t *Table) Row(cells ...string) {
	row := clean(cells)
	for i := range row {
		if row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// Len returns the number of rows.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table to w. With bold, the header is bold: pass what Colour
// says of w.
func (t *Table) Write(w io.Writer, bold bool) error {
	lines := t.rows
	if len(t.header) > 0 {
		lines = append([][]string{t.header}, t.rows...)
	}
	widths := columnWidths(lines)
	var b strings.Builder
	for i, cells := range lines {
		text := t.line(cells, widths)
		if i == 0 && bold && len(t.header) > 0 {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		b.WriteString(text)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (t *Table) line(cells []string, widths []int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(gap)
		}
		pad := strings.Repeat(" ", widths[i]-columns(cell))
		if t.right[i] {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func columnWidths(lines [][]string) []int {
	var widths []int
	for _, cells := range lines {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], columns(cell))
		}
	}
	return widths
}

func clean(cells []string) []string {
	out := make([]string, len(cells))
	for i, cell := range cells {
		out[i] = strings.Trim(Clean(cell), " ")
	}
	return out
}
