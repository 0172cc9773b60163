package store_test

import (
	"os"
	"testing"

	"github.com/wanbi/wanbi/internal/testkit/postgres"
)

func TestMain(m *testing.M) { os.Exit(postgres.Main(m)) }
