package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// Variables of the environment.
const (
	// chromiumVariable is the path of the browser, if it has another name or place.
	chromiumVariable = "PKTSVC_CHROMIUM"
	// screenshotsVariable is the directory in which pictures of the page are left.
	screenshotsVariable = "PKTSVC_SCREENSHOTS"
	// requiredVariable is set where nothing may be skipped.
	requiredVariable = "CI"
)

var (
	pktsvc  string          // the program, built once for all tests
	browser context.Context // one Chromium for all tests, each with a tab of its own
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	chromium, err := findChromium()
	if err == nil {
		_, err = os.Stat("node_modules")
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "the browser tests need Chromium (%s says where) and 'npm ci' in browser: %v\n", chromiumVariable, err)
		if os.Getenv(requiredVariable) != "" {
			return 1
		}
		fmt.Fprintln(os.Stderr, "they are skipped")
		return 0
	}
	dir, err := os.MkdirTemp("", "pktsvc-browser")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	pktsvc = filepath.Join(dir, "pktsvc")
	build := exec.Command("go", "build", "-o", pktsvc, "./cmd/pktsvc")
	build.Dir, build.Stdout, build.Stderr = "..", os.Stdout, os.Stderr
	if build.Run() != nil {
		return 1
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium), chromedp.NoSandbox, chromedp.DisableGPU, // CI runs it as root, and without a GPU
		chromedp.UserDataDir(filepath.Join(dir, "profile")))...)
	defer cancel()
	browser, cancel = chromedp.NewContext(ctx)
	defer cancel()
	if err := chromedp.Do(browser, chromedp.Navigate("about:blank")); err != nil {
		fmt.Fprintf(os.Stderr, "%s does not start: %v\n", chromium, err)
		return 1
	}
	return m.Run()
}

func findChromium() (path string, err error) {
	if path = os.Getenv(chromiumVariable); path != "" {
		_, err = os.Stat(path)
		return path, err
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err = exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no chromium in PATH")
}
