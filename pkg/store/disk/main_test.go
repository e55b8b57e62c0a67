package disk

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(failing) != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}
