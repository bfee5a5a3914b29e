module observer-test-servers/handing

go 1.19
