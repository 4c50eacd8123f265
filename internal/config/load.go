package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

const (
	// defaultPath is where the package and the unit put the file.
	defaultPath = "/etc/moverisd/moverisd.toml"
	// fileMax bounds the memory that a wrong --config can take; a thousand
	// accounts fit.
	fileMax = 1 << 20
)

// Environment is the view of the process environment; tests pass their own.
type Environment struct {
	// Lookup has the meaning of os.LookupEnv; nil is an empty environment.
	Lookup func(string) (string, bool)
}

// OS returns the environment of the process.
func OS() Environment { return Environment{Lookup: os.LookupEnv} }

func (e Environment) lookup(name string) (string, bool) {
	if e.Lookup == nil {
		return "", false
	}
	return e.Lookup(name)
}

// Options say how a file is to be judged.
type Options struct {
	// Env resolves env: references and CREDENTIALS_DIRECTORY.
	Env Environment
	// CheckSchedule judges each schedule; its error becomes a problem at the
	// schedule's position. Nil accepts every schedule that is not empty.
	CheckSchedule func(spec string) error
	// AllowUnresolved lets credential: references be when the environment has
	// no CREDENTIALS_DIRECTORY and lists them in Report.Unchecked. It is for
	// `config check` outside the service; the daemon must not set it.
	AllowUnresolved bool
	// Locating is for commands that only have to find the daemon and may not be able to
	// read its secrets: no reference is resolved, and a file that is TOML makes a Config
	// whatever else is wrong with it, with the default in place of every faulty value.
	Locating bool
	// KeysOnly resolves the API keys of accounts and nothing else: the gateway has no
	// business with other secrets, and is not given them.
	KeysOnly bool
}

// DefaultPath returns the file to read: the value of --config if not empty,
// else that of MOVERISD_CONFIG, else /etc/moverisd/moverisd.toml.
func DefaultPath(env Environment, flag string) string {
	if flag != "" {
		return flag
	}
	if path, _ := env.lookup("MOVERISD_CONFIG"); path != "" {
		return path
	}
	return defaultPath
}

// Load reads the file at path and everything it refers to. The Report is never
// nil and holds all problems at once; the Config is nil when it has errors,
// unless Options.Locating asks for what there is.
func Load(path string, opts Options) (*Config, *Report) {
	data, err := readMax(path, fileMax)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, whole(path, "there is no such file: write one after configs/moverisd.toml, or name another with --config or MOVERISD_CONFIG")
	case errors.Is(err, fs.ErrPermission):
		return nil, whole(path, "the file cannot be read (%v): run this as root or as the user of the service, or give the file the group of the service and mode 0640", reason(err))
	case err != nil:
		return nil, whole(path, "the file cannot be read: %v", reason(err))
	}
	return load(path, data, opts)
}

// load is Load without the file.
func load(path string, data []byte, opts Options) (*Config, *Report) {
	report := &Report{}
	root, broken := parse(data)
	if broken != nil {
		report.Errors = append(report.Errors, Problem{
			File: path, Line: broken.at.line, Column: broken.at.column, Message: broken.message})
		return nil, report
	}
	r := &reader{file: path, opts: opts, report: report}
	c := r.config(root)
	c.Path = path
	report.sort()
	if len(report.Errors) > 0 && !opts.Locating {
		return nil, report
	}
	return c, report
}

// readMax reads a file of at most limit bytes.
func readMax(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %s", formatSize(limit))
	}
	return data, nil
}

// reason strips operation and path off an error of the operating system, which
// the problem names already.
func reason(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
