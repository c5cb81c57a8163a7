// SPDX-License-Identifier: MIT

package adjust

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/waitress-go/waitress"
)

// configFlag names the configuration file, on the command line and in the environment.
const configFlag = "config"

// Parse adjusts s: by the file that -config or WAITRESS_CONFIG names, then by the environment, and then by args, the
// command line without the program's name. It adds a flag to flags for each field of s that can be written as text, unless
// flags has one of that name; the program's own flags, which it has defined before, get their values from all three too.
// Then it validates s.
//
// A key of the file that is not known is an error. A variable that is not known is none, since other programs may have some that
// begin with WAITRESS_ as well; and one that is empty is not set.
//
// What it returns depends on how flags handles errors, as in package flag. With flag.ExitOnError it prints one line that says
// what is wrong, and ends the process with status 2; for -help it prints the flags by groups, and ends it with
// status 0. With flag.ContinueOnError it returns the error, or flag.ErrHelp after it has printed the flags.
func Parse(s *waitress.Server, flags *flag.FlagSet, args []string) error {
	err := parse(s, flags, args)
	if err == nil {
		return nil
	}
	help := errors.Is(err, flag.ErrHelp)
	if help {
		printHelp(flags)
	}
	switch flags.ErrorHandling() {
	case flag.ContinueOnError:
	case flag.ExitOnError:
		if help {
			os.Exit(0)
		}
		_, _ = fmt.Fprintf(flags.Output(), "%s: %v\n", flags.Name(), err)
		os.Exit(2)
	case flag.PanicOnError:
		panic(err)
	}
	return err
}

// An argument is one flag as it was given.
type argument struct{ name, value string }

// A recorder notes what a flag is given, in the order of the command line, since weaker sources come first.
type recorder struct {
	name   string
	isBool bool
	given  *[]argument
}

// String implements flag.Value.
func (*recorder) String() string { return "" }

// Set implements flag.Value.
func (r *recorder) Set(value string) error {
	*r.given = append(*r.given, argument{r.name, value})
	return nil
}

// IsBoolFlag lets a flag stand without a value.
func (r *recorder) IsBoolFlag() bool { return r.isBool }

func parse(s *waitress.Server, flags *flag.FlagSet, args []string) error {
	var from source
	all, err := settings(s, &from)
	if err != nil {
		return err
	}
	for _, x := range all {
		if name := flagName(x.name); flags.Lookup(name) == nil {
			flags.Var(x, name, strings.ReplaceAll(x.text, "`", "'"))
		}
	}
	if flags.Lookup(configFlag) == nil {
		flags.String(configFlag, "", "the TOML `FILE` that has more of these settings")
	}
	given, rest, err := record(flags, args)
	if err != nil {
		return err
	}
	config := os.Getenv(variableOf(configFlag))
	for _, a := range given {
		if a.name == configFlag {
			config = a.value
		}
	}
	if config != "" {
		from = fromFile
		if err := readFile(flags, config); err != nil {
			return err
		}
	}
	from = fromEnvironment
	if err := readEnvironment(flags); err != nil {
		return err
	}
	from = fromArguments
	for _, a := range given {
		if err := flags.Set(a.name, a.value); err != nil {
			return fmt.Errorf("-%s: %w", a.name, err)
		}
	}
	if err := flags.Parse(append([]string{"--"}, rest...)); err != nil {
		return err
	}
	return s.Validate()
}

// record reads the command line without setting anything. rest is what follows the flags.
func record(flags *flag.FlagSet, args []string) (given []argument, rest []string, err error) {
	record := flag.NewFlagSet(flags.Name(), flag.ContinueOnError)
	record.SetOutput(io.Discard)
	flags.VisitAll(func(f *flag.Flag) {
		b, ok := f.Value.(interface{ IsBoolFlag() bool })
		record.Var(&recorder{f.Name, ok && b.IsBoolFlag(), &given}, f.Name, "")
	})
	err = record.Parse(args)
	return given, record.Args(), err
}

func readEnvironment(flags *flag.FlagSet) (err error) {
	flags.VisitAll(func(f *flag.Flag) {
		value := os.Getenv(variableOf(f.Name))
		if value == "" || f.Name == configFlag || err != nil {
			return
		}
		if serr := flags.Set(f.Name, value); serr != nil {
			err = fmt.Errorf("%s: %w", variableOf(f.Name), serr)
		}
	})
	return err
}

// readFile sets what the file says, in the order of its keys.
func readFile(flags *flag.FlagSet, name string) error {
	content := make(map[string]any)
	meta, err := toml.DecodeFile(name, &content)
	if err != nil {
		var syntax toml.ParseError
		if errors.As(err, &syntax) {
			err = errors.New(strings.TrimPrefix(syntax.Error(), "toml: "))
			return fmt.Errorf("%s: %w", name, err)
		}
		return err // it names the file
	}
	for _, key := range meta.Keys() {
		f := flags.Lookup(strings.ReplaceAll(key.String(), "_", "-"))
		if f == nil || f.Name == configFlag || len(key) > 1 {
			return fmt.Errorf("%s: there is no setting %s", name, key)
		}
		values, err := texts(content[key[0]])
		if err != nil {
			return fmt.Errorf("%s: %s: %w", name, key, err)
		}
		for _, value := range values {
			if err := flags.Set(f.Name, value); err != nil {
				return fmt.Errorf("%s: %s: %w", name, key, err)
			}
		}
	}
	return nil
}

// texts returns what a value of the file would be on the command line: several values for an array.
func texts(value any) ([]string, error) {
	switch v := value.(type) {
	case string:
		return []string{v}, nil
	case bool:
		return []string{strconv.FormatBool(v)}, nil
	case int64:
		return []string{strconv.FormatInt(v, 10)}, nil
	case []any:
		var all []string
		for _, item := range v {
			one, err := texts(item)
			if err != nil {
				return nil, err
			}
			all = append(all, one...)
		}
		if len(all) == 0 {
			all = []string{""} // an empty list is a value too
		}
		return all, nil
	}
	return nil, fmt.Errorf("%v is neither a text, a number, true, false nor a list of these", value)
}

// printHelp prints the flags of flags, the program's own first, and then the Server's by groups.
func printHelp(flags *flag.FlagSet) {
	out := flags.Output()
	_, _ = fmt.Fprintf(out, "Usage: %s [flags]\n\nA flag -x-y can also be set by the variable %sX_Y, or the key x_y of the configuration file.\n",
		flags.Name(), variablePrefix)
	var groups []string
	byGroup := make(map[string][]*flag.Flag)
	flags.VisitAll(func(f *flag.Flag) {
		group := "The program"
		if s, ok := f.Value.(*setting); ok {
			group = s.group
		}
		byGroup[group] = append(byGroup[group], f)
	})
	for _, d := range append([]documentation{{group: "The program"}}, documented...) {
		if !slices.Contains(groups, d.group) && len(byGroup[d.group]) > 0 {
			groups = append(groups, d.group)
		}
	}
	for _, g := range groups {
		_, _ = fmt.Fprintf(out, "\n%s:\n", g)
		for _, f := range byGroup[g] {
			printFlag(out, f)
		}
	}
}

func printFlag(out io.Writer, f *flag.Flag) {
	value, usage := flag.UnquoteUsage(f)
	if s, ok := f.Value.(*setting); ok {
		value, usage = s.kind.name, s.text
	}
	if value != "" {
		value = " " + value
	}
	_, _ = fmt.Fprintf(out, "  -%s%s\n", f.Name, value)
	const width = 90
	line := ""
	for _, word := range strings.Fields(usage) {
		if line != "" && len(line)+1+len(word) > width {
			_, _ = fmt.Fprintf(out, "      %s\n", line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	_, _ = fmt.Fprintf(out, "      %s\n", line)
}
