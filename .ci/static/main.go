// Command static fails where an ELF file needs a dynamic loader.
package main

import (
	"debug/elf"
	"fmt"
	"os"
)

func main() {
	f, err := elf.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			fmt.Fprintf(os.Stderr, "%s has PT_INTERP: something links to a C library\n", os.Args[1])
			os.Exit(1)
		}
	}
	fmt.Println("no PT_INTERP")
}
