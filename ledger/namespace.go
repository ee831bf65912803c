package ledger

import "fmt"

// Namespace is a namespace of Temporal. A namespace that was made anew under the same name has another id.
type Namespace struct{ Name, ID string }

func (n Namespace) String() string { return fmt.Sprintf("%s (id %s)", n.Name, n.ID) }

// NamespaceError says that the runs of a ledger's contacts are in another namespace than the one that was given.
type NamespaceError struct{ Known, Given Namespace }

func (e *NamespaceError) Error() string {
	return fmt.Sprintf("its runs are in Temporal namespace %s, and this is namespace %s", e.Known, e.Given)
}

// Join checks that n is the namespace in which the runs of this ledger's contacts are: in any other, all of them would be taken
// for gone. The first one that joins stays the one; every other is a *NamespaceError.
func (l *Ledger) Join(ctx ctx, n Namespace) error {
	var known Namespace
	operation := "join namespace " + n.Name
	err := l.view(ctx, operation, func(t *tx) (err error) {
		known, err = t.namespace()
		return err
	})
	if err == nil && known.ID == "" {
		err = l.update(ctx, apart, operation, func(t *tx) (err error) {
			if err = t.exec(`UPDATE accounts SET namespace = ?, namespace_id = ? WHERE name = ? AND namespace_id = ''`, n.Name, n.ID, account); err != nil {
				return err
			}
			known, err = t.namespace() // of several that join at once, one was first
			return err
		})
	}
	if err == nil && known.ID != n.ID {
		err = &NamespaceError{known, n}
	}
	return err
}

// Adopt makes n the namespace of this ledger, whichever it had. Open contacts whose runs are not there get their outcome from the
// sweeper, as those of any run that is gone.
func (l *Ledger) Adopt(ctx ctx, n Namespace) error {
	return l.update(ctx, apart, "adopt namespace "+n.Name, func(t *tx) error {
		return t.exec(`UPDATE accounts SET namespace = ?, namespace_id = ? WHERE name = ?`, n.Name, n.ID, account)
	})
}

func (t *tx) namespace() (n Namespace, err error) {
	_, err = t.get(`SELECT namespace, namespace_id FROM accounts WHERE name = ?`, []any{account}, &n.Name, &n.ID)
	return n, err
}
