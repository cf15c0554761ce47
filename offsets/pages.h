/* pages.h - are the pages of an LMDB file what LMDB takes them for?
 *
 * liblmdb believes its pages: a damaged one leads it out of its map (SIGSEGV, SIGBUS) or
 * into one of its assertions, and either ends the process; a damaged list of free pages
 * lets it overwrite pages that are in use.  So the file is read here first, without
 * liblmdb: every page that is reachable from the newest meta page, of all tables and of
 * the list of free pages.
 *
 *      meta ──> free list: branch, leaf pages ──> numbers of pages nobody uses
 *         └──> main table: branch, leaf pages ──> a root for each table ──> its pages
 *
 * Checked: each page has its own number, the kind its place asks for, and is reached once;
 * all nodes and values lie in the file; no page is both used and free.  What the rows say
 * is not looked at: tables.h has a sum for that.
 *
 * The format is that of LMDB 0.9 on machines with 64 bits; on others nothing is checked.
 */
#ifndef MQFS_OFFSETS_PAGES_H
#define MQFS_OFFSETS_PAGES_H

/* MQ_OK, also for a file that is empty or not there; MQ_ECORRUPT, noted: which page, and
 * what is wrong with it, or that the disk cannot read it; -ENOMEM, -EACCES ... */
int pages_check(const char *data_mdb);

#endif
