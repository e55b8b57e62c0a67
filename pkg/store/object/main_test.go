package object

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	os.Setenv("AWS_ACCESS_KEY_ID", testKey)
	os.Setenv("AWS_SECRET_ACCESS_KEY", testSecret)
	os.Unsetenv("AWS_SESSION_TOKEN")
	os.Unsetenv("AWS_REGION")
	goleak.VerifyTestMain(m)
}
