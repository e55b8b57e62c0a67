package server

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// Source says where [Load] finds settings. A flag beats the environment, which
// beats the file, which beats the default.
type Source struct {
	Flags   *pflag.FlagSet  // as made by Flags, parsed; nil for none
	Environ func() []string // in the form of os.Environ, which is the default
	File    string          // path of a YAML file; empty for none

	Services []Settings // to be read, too; they become Config.Services
}

// layer is the settings of one source.
type layer struct {
	*koanf.Koanf
	name func(s setting) string // of the source, for errors
}

// Load reads the configuration. The error names everything that is wrong at
// once: unknown keys of the file, and one [ConfigError] for each setting. Unknown
// PKTSVC_ variables are not errors, since container platforms make some up for
// a service of this name.
func Load(from Source) (Config, error) {
	cfg := Default()
	cfg.Services = from.Services
	settings := cfg.settings()
	layers, errs := from.layers(settings)
	origin := make(map[string]string)
	for _, s := range settings {
		for _, l := range layers {
			if !l.Exists(s.key) {
				continue
			}
			origin[s.key] = l.name(s)
			raw := l.Get(s.key)
			if allowed := s.set(raw); allowed != nil {
				errs = append(errs, &ConfigError{Key: s.key, Value: shown(s, raw), Source: l.name(s), Allowed: allowed.Error()})
			}
			break
		}
	}
	cfg.setDefaults()
	for _, problem := range cfg.problems() {
		problem.Source = origin[problem.Key]
		errs = append(errs, problem)
	}
	return cfg, errors.Join(errs...)
}

// layers reads every source, that with the highest precedence first.
func (from Source) layers(settings []setting) (layers []layer, errs []error) {
	add := func(name func(setting) string, p koanf.Provider, parser koanf.Parser) *koanf.Koanf {
		k := koanf.New(".")
		if err := k.Load(p, parser); err != nil {
			errs = append(errs, fmt.Errorf("read configuration from %s: %w", name(setting{}), err))
		}
		layers = append(layers, layer{k, name})
		return k
	}
	byFlag, byEnv := make(map[string]string), make(map[string]string)
	for _, s := range settings {
		byFlag[s.flag()], byEnv[s.env()] = s.key, s.key
	}
	if fs := from.Flags; fs != nil {
		changed := func(f *pflag.Flag) (string, any) {
			if !f.Changed {
				return "", nil
			}
			return byFlag[f.Name], posflag.FlagVal(fs, f)
		}
		add(func(s setting) string { return "flag --" + s.flag() }, posflag.ProviderWithFlag(fs, ".", nil, changed), nil)
	}
	environ := from.Environ
	if environ == nil {
		environ = os.Environ
	}
	add(func(s setting) string { return "environment " + s.env() }, env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		EnvironFunc:   environ,
		TransformFunc: func(name, value string) (string, any) { return byEnv[name], value },
	}), nil)
	if from.File != "" {
		k := add(func(setting) string { return "file " + from.File }, file.Provider(from.File), yaml.Parser())
		errs = append(errs, unknownKeys(k, settings, from.File)...)
	}
	return layers, errs
}

func unknownKeys(k *koanf.Koanf, settings []setting, path string) (errs []error) {
	known, section := make(map[string]bool), make(map[string]bool)
	for _, s := range settings {
		known[s.key] = true
		if i := strings.LastIndexByte(s.key, '.'); i > 0 {
			section[s.key[:i]] = true
		}
	}
	for _, key := range k.Keys() {
		// A section whose lines are all commented out is no mistake.
		if known[key] || section[key] && k.Get(key) == nil {
			continue
		}
		errs = append(errs, &ConfigError{
			Key: key, Value: fmt.Sprint(k.Get(key)), Source: "file " + path,
			Allowed: "a known key; `pktsvc serve --print-config` lists them",
		})
	}
	return errs
}

func shown(s setting, raw any) string {
	if _, secret := s.value.Interface().(Secret); secret {
		return Secret("set").String()
	}
	return fmt.Sprint(raw)
}
