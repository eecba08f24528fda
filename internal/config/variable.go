package config

import (
	"fmt"
	"reflect"
	"strings"
)

// group is one part of the settings: a field of Config.
type group struct {
	title     string
	index     int // of the field in Config
	of        reflect.Type
	variables []variable
}

// variable is what the tags of one field say.
type variable struct {
	name, def, doc, example, form string
	min, max                      string
	oneof                         []string
	needed, secret                bool
}

// groups reads the tags of Config, in the order of its fields.
func groups() []group {
	var all []group
	config := reflect.TypeFor[Config]()
	for i := range config.NumField() {
		field := config.Field(i)
		title, ok := field.Tag.Lookup("group")
		if !ok {
			continue
		}
		g := group{title: title, index: i, of: field.Type}
		for setting := range field.Type.Fields() {
			g.variables = append(g.variables, readTags(setting))
		}
		all = append(all, g)
	}
	return all
}

func readTags(field reflect.StructField) variable {
	v := variable{
		name:    field.Tag.Get("env"),
		def:     field.Tag.Get("envDefault"),
		doc:     field.Tag.Get("doc"),
		example: field.Tag.Get("example"),
		form:    field.Tag.Get("form"),
		min:     field.Tag.Get("min"),
		max:     field.Tag.Get("max"),
		needed:  field.Tag.Get("needed") == "yes",
		secret:  field.Type == reflect.TypeFor[Secret](),
	}
	if oneof := field.Tag.Get("oneof"); oneof != "" {
		v.oneof = strings.Split(oneof, "|")
	}
	return v
}

// expected says which values are right, to follow the word "expected".
func (v variable) expected() string {
	switch v.form {
	case "enum":
		return oneOf(v.oneof)
	case "duration":
		return fmt.Sprintf("a duration from %s to %s, such as %s, 1m30s or 90 (seconds)", v.min, v.max, v.example)
	case "int":
		return fmt.Sprintf("a whole number from %s to %s", v.min, v.max)
	case "port":
		return "a port number from 0 to 65535"
	case "bool":
		return "yes or no"
	case "ports":
		return "first and last port, such as " + v.example
	case "bind":
		return "an IP address with a port, such as " + v.example
	case "loopback":
		return "a loopback address with a port, such as " + v.example
	case "ip":
		return "an IP address, such as " + v.example
	case "host":
		return "a host name or IP address without a port, such as " + v.example
	case "server":
		return v.example + ", " + v.example + ":5060 or sip:" + v.example + ";transport=tcp"
	case "dir":
		return "a directory, such as " + v.example
	case "user":
		return "the part of the SIP address before the @, such as " + v.example
	case "country":
		return "two letters, such as " + v.example
	case "networks":
		return "addresses or networks separated by commas, such as " + v.example
	case "allow", "list":
		return "a list separated by commas, such as " + v.example
	case "pem":
		return "a PEM file with certificates, such as " + v.example
	case "secret":
		return "the text as the provider gave it"
	case "token":
		return "printable characters without spaces"
	default:
		return v.expectedText()
	}
}

// expectedText is expected for what is read as a text.
func (v variable) expectedText() string {
	switch v.form {
	case "url":
		return "an http or https URL, such as " + v.example
	case "key":
		return "base64 of 24 to 64 bytes, such as " + v.example
	default:
		return "a text, such as " + v.example
	}
}

// show returns the value for a message: quoted, secrets masked.
func (v variable) show(value string) string {
	if v.secret {
		return mask
	}
	return quote(value)
}

func quote(value string) string {
	const most = 80
	if len(value) > most {
		value = value[:most] + "…"
	}
	return fmt.Sprintf("%q", value)
}

func oneOf(list []string) string {
	last := len(list) - 1
	return strings.Join(list[:last], ", ") + " or " + list[last]
}
