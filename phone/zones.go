package phone

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"fmt"
	"io"
	"sync"
	"time"
)

// ZonesVersion is the version of the Go distribution whose lib/time/zoneinfo.zip the archive of time zones is.
const ZonesVersion = "go1.26"

// zoneArchive is the IANA time zone database as the Go distribution packs it, of ZonesVersion. It is part of the product, so that a
// rule means the same on every machine: time.LoadLocation would read the host's files first.
//
//go:embed zoneinfo.zip
var zoneArchive []byte

var zones = sync.OnceValues(func() (map[string]*zip.File, error) {
	r, err := zip.NewReader(bytes.NewReader(zoneArchive), int64(len(zoneArchive)))
	if err != nil {
		return nil, err
	}
	files := make(map[string]*zip.File, len(r.File))
	for _, f := range r.File {
		if !f.FileInfo().IsDir() {
			files[f.Name] = f
		}
	}
	return files, nil
})

var loadedZones sync.Map // of name to *time.Location

// Zone returns the named IANA time zone, such as "Europe/Paris" or "UTC". It is the only loader of zones in the product.
func Zone(name string) (*time.Location, error) {
	if l, ok := loadedZones.Load(name); ok {
		return l.(*time.Location), nil
	}
	files, err := zones()
	if err != nil {
		return nil, err
	}
	f, ok := files[name]
	if !ok {
		return nil, fmt.Errorf("%q is no IANA time zone: write it like Europe/Paris, America/New_York or UTC", name)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	l, err := time.LoadLocationFromTZData(name, data)
	if err != nil {
		return nil, err
	}
	loadedZones.Store(name, l)
	return l, nil
}
