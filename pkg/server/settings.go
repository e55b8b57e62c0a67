package server

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

const envPrefix = "PKTSVC_"

// setting is one field of a Config, with the key under which it can be set.
type setting struct {
	key   string // such as limits.max_packet
	usage string
	value reflect.Value // addressable
}

func (s setting) flag() string { return strings.NewReplacer(".", "-", "_", "-").Replace(s.key) }
func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

// settings lists all fields of c in the order of the struct, and then those of
// the services.
func (c *Config) settings() []setting {
	var list []setting
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			field := v.Type().Field(i)
			key := prefix + field.Tag.Get("yaml")
			if field.Tag.Get("yaml") == "-" {
				continue
			}
			if field.Type.Kind() == reflect.Struct {
				walk(key+".", v.Field(i))
				continue
			}
			list = append(list, setting{key: key, usage: field.Tag.Get("usage"), value: v.Field(i)})
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	for _, s := range c.Services {
		walk("", reflect.ValueOf(s).Elem())
	}
	return list
}

// Flags adds a flag for every setting of the server and of some services to fs,
// with the defaults of [Default]. Secrets have none, since a command line can be
// read by others.
func Flags(fs *pflag.FlagSet, services ...Settings) {
	c := Default()
	c.Services = services
	c.setDefaults()
	for _, s := range c.settings() {
		switch v := s.value.Interface().(type) {
		case string:
			fs.String(s.flag(), v, s.usage)
		case []string:
			fs.StringSlice(s.flag(), v, s.usage)
		case bool:
			fs.Bool(s.flag(), v, s.usage)
		case int:
			fs.Int(s.flag(), v, s.usage)
		case time.Duration:
			fs.Duration(s.flag(), v, s.usage)
		case Secret:
		}
	}
}

// set gives the field a value from a file, the environment or a flag. Scalars
// go through their text, so that 1.5 is not taken for 1, nor 25 for 25ns. The
// error says what is allowed.
func (s setting) set(raw any) error {
	if s.value.Kind() == reflect.Slice {
		list, err := texts(raw)
		if err != nil {
			return err
		}
		s.value.Set(reflect.ValueOf(list))
		return nil
	}
	text, ok := scalar(raw)
	if !ok {
		return fmt.Errorf("one value")
	}
	switch s.value.Interface().(type) {
	case string, Secret:
		s.value.SetString(text)
	case bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("true or false")
		}
		s.value.SetBool(v)
	case int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("a whole number")
		}
		s.value.SetInt(int64(v))
	case time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("a time with its unit, such as 500ms, 30s or 5m")
		}
		s.value.SetInt(int64(v))
	}
	return nil
}

func scalar(raw any) (string, bool) {
	switch reflect.ValueOf(raw).Kind() {
	case reflect.Map, reflect.Slice, reflect.Invalid:
		return "", false
	}
	return fmt.Sprint(raw), true
}

// texts reads a list, or a text with commas between its parts.
func texts(raw any) ([]string, error) {
	if text, ok := raw.(string); ok {
		raw = strings.Split(text, ",")
	}
	v := reflect.ValueOf(raw)
	if v.Kind() != reflect.Slice {
		return nil, fmt.Errorf("a list")
	}
	var list []string
	for i := range v.Len() {
		text, ok := scalar(v.Index(i).Interface())
		if !ok {
			return nil, fmt.Errorf("a list of texts")
		}
		if text = strings.TrimSpace(text); text != "" {
			list = append(list, text)
		}
	}
	return list, nil
}
