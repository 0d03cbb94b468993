# SPDX-License-Identifier: Apache-2.0
# The kernel of the probe for KVM. It enters long mode, executes instructions that fail in incomplete
# virtual machines, prints OK on the serial port and ends QEMU. Assemble it with:
#
#   as --64 -o probe.o probe.S
#   ld -m elf_x86_64 -Ttext 0x100000 --oformat binary -o probe.bin probe.o
#
# QEMU loads the kernel by its multiboot header, in 32-bit mode. probe.py has the kernel as text.

        .set    base, 0x100000
        .set    tables, 0x200000        # page tables: three pages
        .set    flags, 0x00010000       # the addresses are in the header

        .code32
        .globl  _start
_start: jmp     begin
        .balign 4
header: .long   0x1BADB002, flags, -(0x1BADB002 + flags)
        .long   header, base, 0, 0, begin

begin:  cli
        mov     $0x300000, %esp
        # Map the first two pages of 2 MiB to the same physical addresses.
        mov     $tables, %edi
        xor     %eax, %eax
        mov     $3072, %ecx
        rep stosl
        movl    $(tables + 0x1003), tables
        movl    $(tables + 0x2003), tables + 0x1000
        movl    $0x83, tables + 0x2000
        movl    $0x200083, tables + 0x2008
        mov     $tables, %eax
        mov     %eax, %cr3
        # PAE, OSFXSR, OSXMMEXCPT and, if the CPU has it, OSXSAVE.
        mov     $1, %eax
        cpuid
        mov     %ecx, %esi
        mov     %cr4, %eax
        or      $0x620, %eax
        bt      $26, %esi
        jnc     1f
        or      $0x40000, %eax
1:      mov     %eax, %cr4
        mov     $0xC0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        and     $0xFFFFFFF3, %eax
        or      $0x80000003, %eax
        mov     %eax, %cr0
        lgdt    gdtr
        ljmp    $8, $long

        .code64
long:   mov     $16, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        # A handler for the breakpoint exception.
        lea     caught(%rip), %rax
        mov     $idt + 3 * 16, %rdi
        mov     %ax, (%rdi)
        movw    $8, 2(%rdi)
        movw    $0x8E00, 4(%rdi)
        shr     $16, %rax
        mov     %ax, 6(%rdi)
        lidt    idtr
        xor     %ebx, %ebx
        int3
        cmp     $42, %ebx
        jne     failed
        # Compare and exchange 16 bytes.
        mov     $place, %rdi
        xor     %eax, %eax
        xor     %edx, %edx
        mov     $1, %ebx
        mov     $2, %ecx
        lock cmpxchg16b (%rdi)
        jnz     failed
        cmpq    $2, 8(%rdi)
        jne     failed
        # Save and restore the state of the floating point unit.
        bt      $26, %esi
        jnc     2f
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $3, %eax
        xsetbv
        mov     $0x280000, %rdi
        xsave   (%rdi)
        xrstor  (%rdi)
2:      mov     $text, %rsi
        mov     $0x3F8, %dx
        mov     $4, %ecx
        rep outsb
failed: mov     $0xF4, %dx
        mov     $16, %eax
        out     %eax, %dx
3:      hlt
        jmp     3b

caught: mov     $42, %ebx
        iretq

        .balign 8
gdt:    .quad   0, 0x00AF9A000000FFFF, 0x00CF92000000FFFF
gdtr:   .word   23
        .long   gdt
idtr:   .word   63
        .quad   idt
text:   .ascii  "OK\r\n"
        .balign 16
place:  .quad   0, 0
idt:    .quad   0, 0, 0, 0, 0, 0, 0, 0
