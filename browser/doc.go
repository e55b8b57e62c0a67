// Package browser tests the page of the admin server in a real Chromium: what is clicked,
// what is shown then, and how it looks. It is a module of its own so that what drives the
// browser stays out of the program's dependencies. README.md says how it is run.
package browser
