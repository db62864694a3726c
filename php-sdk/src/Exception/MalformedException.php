<?php

declare(strict_types=1);

namespace PhaseBased\Plasm\Exception;

/**
 * Data that was read is not well-formed.
 */
final class MalformedException extends PlasmException
{
}
