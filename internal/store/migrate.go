package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"encoding/hex"
	"fmt"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// SchemaVersion is the schema this version reads and writes.
const SchemaVersion = 3

// migrate brings the database to SchemaVersion, one transaction for each step, so that
// a kill at any point leaves an older but whole schema.
func migrate(ctx context.Context, conn *sql.Conn) error {
	have, err := userVersion(ctx, conn)
	if err != nil {
		return err
	}
	if have > SchemaVersion {
		return fmt.Errorf("%w: its schema is %d, this version knows up to %d; install the newer moverisd again",
			ErrNewer, have, SchemaVersion)
	}
	for v := have + 1; v <= SchemaVersion; v++ {
		if err := migrateTo(ctx, conn, v); err != nil {
			return fmt.Errorf("migrate the store to schema %d: %w", v, err)
		}
	}
	return nil
}

func userVersion(ctx context.Context, conn *sql.Conn) (int, error) {
	var v int
	if err := conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&v); err != nil {
		return 0, fmt.Errorf("read the schema version: %w", translate(err))
	}
	return v, nil
}

func migrateTo(ctx context.Context, conn *sql.Conn, version int) error {
	script, err := schemaFiles.ReadFile(fmt.Sprintf("schema/%04d.sql", version))
	if err != nil {
		return err
	}
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, string(script)); err != nil {
		return err
	}
	if version == 1 {
		id, err := newStoreID()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO meta VALUES ('store_id', ?)", id); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version)); err != nil {
		return err
	}
	return tx.Commit()
}

// newStoreID draws the identity by which consumers notice that the store is another
// one: twelve hexadecimal digits.
func newStoreID() (string, error) {
	b := make([]byte, 6)
	if _, err := rand.Read(b); err != nil {
		return "", err
	}
	return hex.EncodeToString(b), nil
}
