package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"chat-messaging/queries"
)

const (
	// transferChunk is how many entries are read or written at a time.
	transferChunk = 200
	// longestLine bounds a line of an import: the largest body there can be, in
	// base64, twice.
	longestLine = 1 << 29
)

func (p *poisonTool) newExport() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "export [filter]",
		Short: "Write messages as NDJSON, exact to the byte",
		Long: `Write messages to standard output, one JSON object a line, the oldest first, with
their history of states but not of attempts. Bodies that are no UTF-8 are in
base64. Without --state those that wait or are being replayed.`,
		Example: `  chat-messaging poison export reason:data_error > poisoned.ndjson
  chat-messaging poison export --state any --file everything.ndjson`,
	}
	filter := p.selectFlags(cmd)
	cmd.Flags().StringVar(&file, "file", "", "write to this `file` instead")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f, err := filter.filter(args)
		if err != nil {
			return err
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		out := cmd.OutOrStdout()
		if file != "" {
			created, err := os.Create(file)
			if err != nil {
				return fmt.Errorf("creating the file: %w", err)
			}
			defer func() { _ = created.Close() }()
			out = created
		}
		f = openStates(f)
		n, err := export(cmd, db, f, out)
		by := p.operator()
		selection, _ := json.Marshal(f) // texts, numbers and times: cannot fail
		record := queries.AuditRecord{Who: by.Who, Via: by.Via, Action: "poison.export", Selection: selection, Affected: int64(n), Result: queries.AuditDone}
		if err != nil {
			record.Result, record.Detail = queries.AuditFailed, err.Error()
		}
		if err := errors.Join(err, db.RecordAudit(cmd.Context(), record)); err != nil {
			return err
		}
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s exported\n", counted(n, "message"))
		return nothingIf(n == 0)
	}
	return cmd
}

func export(cmd *cobra.Command, db *queries.DB, f queries.PoisonFilter, out io.Writer) (n int, err error) {
	buffered := bufio.NewWriter(out)
	encoder := json.NewEncoder(buffered)
	encoder.SetEscapeHTML(false)
	for after := int64(0); ; {
		size := transferChunk
		if f.Limit > 0 {
			size = min(size, f.Limit-n)
		}
		if size == 0 {
			break
		}
		page, err := db.ReadPoisoned(cmd.Context(), f, after, size)
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := encoder.Encode(page[i]); err != nil {
				return n, fmt.Errorf("writing: %w", err)
			}
			n++
		}
		if len(page) < size {
			break
		}
		after = page[len(page)-1].ID
	}
	if err := buffered.Flush(); err != nil {
		return n, fmt.Errorf("writing: %w", err)
	}
	return n, nil
}

func (p *poisonTool) newImport() *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import [FILE]",
		Short: "Read messages that export has written; those that are there stay as they are",
		Long: `Read messages from a file or standard input, as export writes them. An entry is known
by its poison id, so that importing twice adds nothing.`,
		Example: `  chat-messaging poison import poisoned.ndjson`,
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would be added")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		in := cmd.InOrStdin()
		if len(args) > 0 && args[0] != "-" {
			file, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("opening the file: %w", err)
			}
			defer func() { _ = file.Close() }()
			in = file
		}
		_, db, err := p.open()
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		i := &importing{cmd: cmd, db: db, dryRun: dryRun}
		err = i.read(in)
		if !dryRun {
			err = errors.Join(err, db.RecordAudit(cmd.Context(), i.audit(p.operator(), err)))
		}
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "%s added, %d were there, %s not readable\n",
			counted(i.added, "message"), i.known, counted(i.broken, "line"))
		switch {
		case err != nil:
			return err
		case i.broken > 0 && i.added+i.known > 0:
			return exitError{code: exitPartly, message: "some lines are no messages"}
		case i.broken > 0:
			return errors.New("no line is a message")
		}
		return nothingIf(i.added+i.known == 0)
	}
	return cmd
}

// importing is one import and how far it is.
type importing struct {
	cmd                  *cobra.Command
	db                   *queries.DB
	dryRun               bool
	added, known, broken int
	chunk                []queries.PoisonedMessage
	chunkBytes           int
}

func (i *importing) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, longestLine)
	for number := 1; lines.Scan(); number++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var m queries.PoisonedMessage
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			i.broken++
			_, _ = fmt.Fprintf(i.cmd.ErrOrStderr(), "line %d is no message: %s\n", number, harmless(err.Error()))
			continue
		}
		i.chunk, i.chunkBytes = append(i.chunk, m), i.chunkBytes+len(lines.Bytes())
		if len(i.chunk) == transferChunk || i.chunkBytes > 16<<20 {
			if err := i.flush(); err != nil {
				return err
			}
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading: %w", err)
	}
	return i.flush()
}

func (i *importing) flush() error {
	added, err := i.add()
	if err != nil {
		return err
	}
	i.added, i.known = i.added+added, i.known+len(i.chunk)-added
	i.chunk, i.chunkBytes = nil, 0
	return nil
}

// add imports the chunk, or only counts what would be added.
func (i *importing) add() (int, error) {
	if len(i.chunk) == 0 {
		return 0, nil
	}
	if !i.dryRun {
		return i.db.ImportPoisoned(i.cmd.Context(), i.chunk)
	}
	var ids []uuid.UUID
	for _, m := range i.chunk {
		ids = append(ids, m.PoisonID)
	}
	page, err := i.db.ListPoisoned(i.cmd.Context(), queries.PoisonFilter{PoisonIDs: ids, Limit: transferChunk}, 0)
	return len(i.chunk) - len(page.Entries), err
}

func (i *importing) audit(by queries.Operator, failure error) queries.AuditRecord {
	r := queries.AuditRecord{
		Who: by.Who, Via: by.Via, Action: "poison.import", Affected: int64(i.added), Result: queries.AuditDone,
		Detail: fmt.Sprintf("%d were there, %d lines were no messages", i.known, i.broken),
	}
	switch {
	case failure != nil:
		r.Result, r.Detail = queries.AuditFailed, failure.Error()
	case i.broken > 0:
		r.Result = queries.AuditPartly
	}
	return r
}
