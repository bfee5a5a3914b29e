module observer-test-servers/collect

go 1.19
